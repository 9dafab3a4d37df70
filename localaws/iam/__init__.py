"""Who may do what: identities, IAM's decisions, and what each API call asks permission for.

The evaluator (`patterns`, `operators`, `conditions`, `policy`, `evaluate`) is pure and knows no
service. `guard.Guard` asks it for each call, with the policies that the account's IAM holds.
"""
