#!/bin/sh
# Place an order, look at it, and cancel it: curl, openssl and awk are all it takes.
set -eu
URL=${PIXIU_URL:-http://127.0.0.1:8000}
TONCE=0

# sign VERB PATH QUERY: leave the signature in $SIGNATURE.
sign() {
  SIGNATURE=$(printf '%s' "$1|$2|$3" |
    openssl dgst -sha256 -hmac "$SECRET_KEY" | awk '{print $NF}')
}

# Milliseconds, and never the same twice.
next_tonce() {
  now=$(date +%s)000
  TONCE=$((TONCE + 1 > now ? TONCE + 1 : now))
}

# call VERB PATH NAME=VALUE...: sign the parameters in the order of their names, send
# them, and leave what is answered in $ANSWER.
call() {
  verb=$1 path=/api/v2/$2
  shift 2
  next_tonce
  query=$(printf '%s\n' "$@" "access_key=$ACCESS_KEY" "tonce=$TONCE" |
    LC_ALL=C sort | paste -sd '&' -)
  sign "$verb" "$path" "$query"
  if [ "$verb" = GET ]; then
    ANSWER=$(curl -sS "$URL$path?$query&signature=$SIGNATURE")
  else
    ANSWER=$(curl -sS --data "$query&signature=$SIGNATURE" "$URL$path")
  fi
}

echo "Ticker: $(curl -sS "$URL/api/v2/tickers/btccny")"
call GET members/me
echo "Me: $ANSWER"

call POST orders market=btccny side=sell volume=0.01 price=700000
echo "Placed: $ANSWER"
id=$(echo "$ANSWER" | awk -F '[:,]' '{print $2}')
call GET order "id=$id"
echo "Found: $ANSWER"
call POST order/delete "id=$id"
echo "Cancelled: $ANSWER"

# Several at once: the parts of each order in the order of their names, too.
next_tonce
path=/api/v2/orders/multi
query="access_key=$ACCESS_KEY&market=btccny"
for price in 700001 700002; do
  query="$query&orders[][price]=$price&orders[][side]=sell&orders[][volume]=0.01"
done
query="$query&tonce=$TONCE"
sign POST "$path" "$query"
echo "Both: $(curl -sS --data "$query&signature=$SIGNATURE" "$URL$path")"
