"""How one logs in to the Postgres of the instance: as AWS hands it out, and through rotations.

``login`` connects. ``parameters`` says what with, from the storage's config and the secret, and
``tokens`` signs for RDS's IAM authentication. Dagster's storage on it is ``postgres``, beside this
package: ``dagster.yaml`` names it.
"""
