"""Programs that look after this repository; no part of the package."""
