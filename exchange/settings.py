"""
One settings file, top to bottom: core, apps, data, feed, security, money, logs.

Nothing set means embedded mode: our own PostgreSQL in `.data/`, LISTEN/NOTIFY as
feed, the database as cache. Each of DATABASE_URL, AMQP_URL and REDIS_URL replaces one
part. Every name of the environment is read here, once, and listed in the README.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONCE, NONE, SELF

from exchange.lib import env, postgres

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Core -------------------------------------------------------------------------

PIXIU_ENV = env.choice("PIXIU_ENV", "development", ("development", "production"))
PRODUCTION = PIXIU_ENV == "production"
DATA_DIR = Path(env.text("PIXIU_DATA", str(BASE_DIR / ".data"))).resolve()

HOST = env.text("HOST", "127.0.0.1")
PORT = env.number("PORT", 8000, low=1, high=65534)
STREAM_PORT = env.number("STREAM_PORT", PORT + 1, low=1, high=65535)
# Where bots of the ancestor's time look for their websocket; 0 for nowhere. The stream
# serves the same at /ws/v2.
WS_PORT = env.number("WS_PORT", 8080, low=0, high=65535)
# What browsers connect to for live data; unset means this host on STREAM_PORT.
# Behind a proxy that serves both under one name: wss://exchange.example.
STREAM_URL = env.text("STREAM_URL")
DEMO = env.flag("DEMO", default=not PRODUCTION)

DEBUG = env.flag("DEBUG", default=False)
_KEYS = None if PRODUCTION else DATA_DIR / "keys"
SECRET_KEY = env.secret("SECRET_KEY", kept_in=_KEYS)
# Encrypts what must be readable again: the secrets of API tokens and of factors.
PIXIU_MASTER_KEY = env.secret("PIXIU_MASTER_KEY", kept_in=_KEYS)

ALLOWED_HOSTS = env.words(
    "ALLOWED_HOSTS", "" if PRODUCTION else f"localhost,127.0.0.1,[::1],{HOST}"
)
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
# Addresses of our own proxies: only they may say who the client is.
TRUSTED_PROXIES = env.words("TRUSTED_PROXIES")
# A header in which they say the client's country, say CF-IPCountry.
COUNTRY_HEADER = env.text("COUNTRY_HEADER")

ROOT_URLCONF = "exchange.urls"
WSGI_APPLICATION = "exchange.wsgi.application"
ASGI_APPLICATION = "exchange.asgi.application"

# --- Apps -------------------------------------------------------------------------

INSTALLED_APPS = [
    "exchange.apps.DeskConfig",  # django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "taggit",
    "django_tables2",
    "exchange.lib",
    "exchange.apps.ExchangeConfig",
    "accounts",
    "wallets",
    "markets",
]

MIDDLEWARE = [
    "exchange.request_ids.NumberRequests",
    "django.middleware.security.SecurityMiddleware",
    "accounts.middleware.ShedStorm",
    "exchange.api_door.ApiDoor",
    "exchange.headers.PermissionsPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.WatchSession",
    "accounts.middleware.InTheirWords",
    "accounts.middleware.RefuseLargeBodies",
    "accounts.middleware.RememberDevice",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "exchange.paths.KnowNoNul",
]

FORM_RENDERER = "exchange.lib.forms.Renderer"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csrf",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "accounts.context.account",
                "exchange.desk.of_page",
            ],
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
        },
    }
]

AUTH_USER_MODEL = "accounts.Member"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "exchange" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns where it is missing
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("vendor", BASE_DIR / "node_modules" / "lightweight-charts" / "dist"),
]
# Nothing is built: files are served as they stand, straight from their folders.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# --- Data -------------------------------------------------------------------------


def _database(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    return {
        "HOST": options.get("host") or parts.hostname or "",
        "PORT": str(parts.port or ""),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "NAME": parts.path.lstrip("/"),
    }


DATABASE_URL = env.text("DATABASE_URL")
DATABASE_OWNER_URL = env.text("DATABASE_OWNER_URL")
DATABASE_ADMIN_URL = env.text("DATABASE_ADMIN_URL")
EMBEDDED_POSTGRES = not DATABASE_URL
# The fixed names of the three roles: who may change the schema, who may work, who
# may copy templates in the tests.
DATABASE_ROLES = {"owner": "pixiu_owner", "app": "pixiu_app", "test": "pixiu_test"}

DATABASES = {
    "default": {
        "ENGINE": "exchange.lib.postgresql",
        **(
            postgres.embedded_dsn(DATA_DIR, DATABASE_ROLES["app"], "pixiu")
            if EMBEDDED_POSTGRES
            else _database(DATABASE_URL)
        ),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            # A lock that is not to be had in 3 s is an answer ("busy"), not a wait.
            "options": "-c lock_timeout=3000 -c timezone=UTC",
        },
    }
}

AMQP_URL = env.text("AMQP_URL")
REDIS_URL = env.text("REDIS_URL")

# Embedded, one web process counts its rate limits in its own memory: the database cache
# reads and writes in two steps, which counts wrong, and doubles the work of a request.
CACHES = {
    "default": (
        {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
        }
        if REDIS_URL
        else {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    )
}

SESSION_ENGINE = "accounts.session_store"

# --- Feed: how many commands one settlement takes, and when pending ones are re-fed --

# Several exchanges may share a broker; each has names of its own.
BUS_NAMESPACE = env.text("BUS_NAMESPACE", "pixiu")
FEED_BATCH = env.number("FEED_BATCH", 500, low=1, high=5000)
SWEEP_AFTER_SECONDS = env.number("SWEEP_AFTER_SECONDS", 3, low=1, high=600)

# --- Security ---------------------------------------------------------------------

PASSWORD_HASHERS = ["accounts.hashing.Argon2"]
# Of each process. Both together must stay well below the web's threads, so that a storm
# of sign-ins leaves some for trading.
HASHING_THREADS = env.number("HASHING_THREADS", 1, low=1, high=64)
HASHING_QUEUE = env.number("HASHING_QUEUE", 3, low=0, high=64)
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "accounts.password_rules.LengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {
        "NAME": "django.contrib.auth.password_validation."
        "UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email", "display_name"]},
    },
    {"NAME": "accounts.password_rules.ObviousPasswordValidator"},
]

HTTPS = env.flag("HTTPS", default=PRODUCTION)
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
# After so long a member signs in again, however busy; and earlier, when idle. A page
# that listens to its stream is not idle.
SESSION_COOKIE_AGE = 12 * 3600
SESSION_IDLE_SECONDS = env.number("SESSION_IDLE_SECONDS", 1800, low=60)
# Operators sign in more often.
OPERATOR_SESSION_AGE = 8 * 3600
OPERATOR_SESSION_IDLE_SECONDS = 600
# By this cookie a browser is known again when somebody signs in.
DEVICE_COOKIE_NAME = "__Host-device" if HTTPS else "device"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
LANGUAGE_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0  # one year
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
# REST is not led on to TLS but refused: see exchange.api_door.
SECURE_REDIRECT_EXEMPT = [r"^api/v2/(?!docs)"]
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and TRUSTED_PROXIES else None
)
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS: list[str] = []

# The stream lives on a port of its own, or wherever STREAM_URL says; the browser must
# be told that it may connect there.
_STREAM_SOURCES = (
    [STREAM_URL]
    if STREAM_URL
    else [f"ws://{h}:{STREAM_PORT}" for h in sorted({HOST, "localhost", "127.0.0.1"})]
)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF, *_STREAM_SOURCES],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    }
}

# A request body is a few hundred bytes; orders/multi with 100 orders some ten thousand.
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
# With files: two of 8 MB and the words around them. Strangers send less: see
# accounts.middleware.
UPLOAD_BODY_BYTES_MAX = 17 * 1024 * 1024
# What members upload never lies on a disk in the clear.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_BODY_BYTES_MAX
DATA_UPLOAD_MAX_NUMBER_FILES = 4

# The crude first fence: requests per window of five minutes, as the ancestor counted.
RATE_WINDOW_SECONDS = 300
RATE_LIMIT_PER_KEY = env.number("RATE_LIMIT_PER_KEY", 6000, low=1)
RATE_LIMIT_PER_ADDRESS = env.number("RATE_LIMIT_PER_ADDRESS", 6000, low=1)
# Over all keys and pages of a member.
RATE_LIMIT_PER_MEMBER = env.number(
    "RATE_LIMIT_PER_MEMBER", 5 * RATE_LIMIT_PER_KEY, low=1
)

# The operators' desk: how long it stays open after a second factor was shown, and the
# networks it opens to (none named: all).
DESK_SESSION_SECONDS = env.number("DESK_SESSION_SECONDS", 3600, low=60)
DESK_NETWORKS = env.words("DESK_NETWORKS")

# --- Mail -------------------------------------------------------------------------

# Where links in mails lead. Production must say it: a Host header is anybody's word.
SITE_URL = env.text("SITE_URL", f"http://localhost:{PORT}").rstrip("/")
SITE_HOST = urlsplit(SITE_URL).hostname or "localhost"
# smtp://user:password@host:587?tls=1; unset means that mails are printed.
MAIL_URL = env.text("MAIL_URL")
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text(
    "MAIL_FROM", f"Pixiu Exchange <no-reply@{SITE_HOST}>"
)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if MAIL_URL else 'console'}"
EMAIL_BACKEND += ".EmailBackend"
if MAIL_URL:
    _mail = urlsplit(MAIL_URL)
    EMAIL_HOST, EMAIL_PORT = _mail.hostname or "localhost", _mail.port or 25
    EMAIL_HOST_USER = unquote(_mail.username or "")
    EMAIL_HOST_PASSWORD = unquote(_mail.password or "")
    EMAIL_USE_TLS = dict(parse_qsl(_mail.query)).get("tls") == "1"
    EMAIL_TIMEOUT = 10
# /dev/mail shows every mail, links and all: for who tries the exchange on a desk.
MAILBOX_PAGE = not PRODUCTION and not MAIL_URL

# Where it is told that a member waits for an answer; unset: nowhere.
SUPPORT_EMAIL = env.text("SUPPORT_EMAIL")

# --- Second factors ---------------------------------------------------------------

# Where codes by SMS are posted: see accounts.factors.sms_gateways. Unset, they are
# printed in development, and not offered in production.
SMS_URL = env.text("SMS_URL")
if SMS_URL and not SMS_URL.startswith(("https://", "http://")):
    raise env.BadEnvironment(f"SMS_URL must be an address, not {SMS_URL!r}.")
SMS_TOKEN = env.secret("SMS_TOKEN", kept_in=None) if SMS_URL else ""

# --- Identity check ---------------------------------------------------------------

IDENTITY_AGE_MIN = env.number("IDENTITY_AGE_MIN", 18, high=120)
# After a document was decided on, or left lying, it is erased.
IDENTITY_KEPT_DAYS = env.number("IDENTITY_KEPT_DAYS", 365, low=1, high=36_500)
DOCUMENTS_DIR = DATA_DIR / "documents"
# Reads a picture from standard input, ends with 0 where it is clean and with 1 where it
# is not: clamdscan --no-summary -
SCAN_COMMAND = env.text("SCAN_COMMAND")

# --- Chains -----------------------------------------------------------------------

# The node of each coin, and the wallet on it:
# BTC_RPC_URL=http://user:password@host:8332/wallet/hot
CHAIN_URLS = env.secrets_ending("_RPC_URL")
for _code, _url in CHAIN_URLS.items():
    if not _url.startswith(("http://", "https://")) or "@" not in _url:
        raise env.BadEnvironment(
            f"{_code.upper()}_RPC_URL must read http://user:password@host:port/wallet/…"
        )

# Where cold storage is, so that the database cannot say it: BTC_COLD_ADDRESSES=one,two
COLD_ADDRESSES = {
    code: tuple(text.replace(",", " ").split())
    for code, text in env.secrets_ending("_COLD_ADDRESSES").items()
}
# A second node of a coin, to compare with: where the two disagree, nothing is credited,
# and nothing begun. It needs no wallet: LTC_RPC2_URL=http://user:password@host:9332
CHAIN_SECOND_URLS = env.secrets_ending("_RPC2_URL")
for _code, _url in CHAIN_SECOND_URLS.items():
    if not _url.startswith(("http://", "https://")) or "@" not in _url:
        raise env.BadEnvironment(
            f"{_code.upper()}_RPC2_URL must read http://user:password@host:port"
        )

# What each hot wallet may pay out at most, whatever the database says: btc:5,ltc:400
HOT_WALLET_OUT_PER_HOUR = env.amounts("HOT_WALLET_OUT_PER_HOUR")
HOT_WALLET_OUT_PER_DAY = env.amounts("HOT_WALLET_OUT_PER_DAY")
# And which share of what it holds, in an hour: btc:0.2,ltc:0.2
HOT_WALLET_SHARE_PER_HOUR = env.amounts("HOT_WALLET_SHARE_PER_HOUR")
for _code, _share in HOT_WALLET_SHARE_PER_HOUR.items():
    if not 0 < _share <= 1:
        raise env.BadEnvironment(
            f"HOT_WALLET_SHARE_PER_HOUR of {_code} must be above 0 and at most 1."
        )

# How long a new beneficiary rests once it is confirmed, and withdrawals after a change
# of credentials. Who tries the exchange on a desk need not wait.
BENEFICIARY_COOL_OFF_HOURS = env.number(
    "BENEFICIARY_COOL_OFF_HOURS", 24 if PRODUCTION else 0, high=24 * 30
)
WITHDRAWAL_REST_HOURS = env.number(
    "WITHDRAWAL_REST_HOURS", 24 if PRODUCTION else 0, high=24 * 30
)

# --- Proof of solvency ------------------------------------------------------------

# What members' proofs are read from, and the published lists of leaves: kept for years.
SOLVENCY_DIR = DATA_DIR / "solvency"

# --- Interfaces -------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Pixiu Exchange, REST v2",
    "DESCRIPTION": "The API of Peatio, kept to the letter where its bots could notice.",
    "VERSION": "2",
    "OAS_VERSION": "3.1.0",
}

# --- Logs -------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": "exchange.lib.logs.OneLine",
            "format": "%(asctime)s %(levelname)s %(request)s %(name)s %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {"pika": {"level": "WARNING"}},
}
