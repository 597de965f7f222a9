"""Routes of the wallets' pages."""

from __future__ import annotations

from django.urls import path

from wallets.views import funds, history, solvency, transfers, withdrawals

urlpatterns = [
    # Funds.
    path("funds", funds.show, name="funds"),
    path("funds/deposit", funds.deposit_first, name="deposit_first"),
    path("funds/deposit/<str:code>", funds.deposit, name="deposit"),
    path("funds/deposit/<str:code>/new", funds.new_address, name="new_address"),
    path("funds/deposit/<str:code>/practise", funds.practise, name="practise"),
    # Withdrawals.
    path(
        "funds/withdraw/confirm/<str:terms>",
        withdrawals.confirm,
        name="confirm_withdrawal",
    ),
    path(
        "funds/withdraw/confirm/<str:terms>/sms",
        withdrawals.send_sms,
        name="confirm_withdrawal_sms",
    ),
    path("funds/withdraw", withdrawals.ask_first, name="withdraw_first"),
    path("funds/withdraw/<str:code>", withdrawals.ask, name="withdraw"),
    path(
        "funds/withdrawals/<int:withdrawal_id>/cancel",
        withdrawals.cancel,
        name="cancel_withdrawal",
    ),
    path(
        "funds/withdrawals/<int:withdrawal_id>/cancel/<str:token>",
        withdrawals.cancel_by_link,
        name="cancel_withdrawal_by_link",
    ),
    path("funds/beneficiaries", withdrawals.show_book, name="beneficiaries"),
    path("funds/beneficiaries/new", withdrawals.add, name="beneficiary_new"),
    path(
        "funds/beneficiaries/<int:beneficiary_id>/confirm/<str:token>",
        withdrawals.confirm_entry,
        name="beneficiary_confirm",
    ),
    path(
        "funds/beneficiaries/<int:beneficiary_id>/remove",
        withdrawals.remove,
        name="beneficiary_remove",
    ),
    # Transfers.
    path("funds/transfer", transfers.ask, name="transfer"),
    path(
        "funds/transfer/confirm/<str:terms>",
        transfers.confirm,
        name="confirm_transfer",
    ),
    path(
        "funds/transfer/confirm/<str:terms>/sms",
        transfers.send_sms,
        name="confirm_transfer_sms",
    ),
    # History.
    path("funds/history", history.movements, name="history_movements"),
    path("funds/history/csv", history.movements_file, name="history_movements_file"),
    path("funds/history/deposits", history.deposits, name="history_deposits"),
    path(
        "funds/history/deposits/csv",
        history.deposits_file,
        name="history_deposits_file",
    ),
    path("funds/history/withdrawals", history.withdrawals, name="history_withdrawals"),
    path(
        "funds/history/withdrawals/csv",
        history.withdrawals_file,
        name="history_withdrawals_file",
    ),
    # Solvency: for everybody.
    path("solvency", solvency.show, name="solvency"),
    path(
        "solvency/<str:currency>-root.json",
        solvency.newest_legacy_root,
        name="newest_legacy_root",
    ),
    path(
        "solvency/<int:number>/manifest.json",
        solvency.manifest,
        name="solvency_manifest",
    ),
    path(
        "solvency/<int:number>/<str:currency>-root.json",
        solvency.legacy_root,
        name="legacy_root",
    ),
    path(
        "solvency/<int:number>/<str:currency>-leaves.bin",
        solvency.leaves,
        name="solvency_leaves",
    ),
    path(
        "solvency/<int:number>/<str:currency>-assets.json",
        solvency.assets,
        name="solvency_assets",
    ),
    # For a member: their own.
    path("account/solvency", solvency.show_mine, name="my_proof"),
    path(
        "account/solvency/<str:currency>-partial-tree.json",
        solvency.my_newest_partial_tree,
        name="my_newest_partial_tree",
    ),
    path(
        "account/solvency/<int:number>/<str:currency>-partial-tree.json",
        solvency.my_partial_tree,
        name="my_partial_tree",
    ),
    path(
        "account/solvency/<int:number>/<str:currency>-proof.json",
        solvency.my_proof_file,
        name="my_proof_file",
    ),
]
