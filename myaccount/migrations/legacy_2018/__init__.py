"""The 2018 demo's data: a part of migration 0001, as frozen as that."""
