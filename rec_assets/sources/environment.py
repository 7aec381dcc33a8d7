"""Secrets stay out of rec.toml: ${NAME} stands for an environment variable."""

import os
import re

from rec_assets.sources.source import SourceError

VARIABLE = re.compile(r"\$\{(\w+)\}")


def filled(text: str) -> str:
    """The text with the variables that it names; SourceError where one is not set."""

    def value(match: re.Match[str]) -> str:
        try:
            return os.environ[match[1]]
        except KeyError:
            raise SourceError(f"the environment variable {match[1]}, which the settings name, is not set") from None

    return VARIABLE.sub(value, text)
