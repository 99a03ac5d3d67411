"""`python -m headrace.cli`: the same as `headrace`, for where scripts are not on the path."""

from headrace.cli import main

main()
