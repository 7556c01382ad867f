"""`python -m console` is `coalmine`."""

from console.cli import main

main()
