"""The start of a service: three large libraries."""
import pandas, sqlalchemy, django  # noqa: E401, F401
