"""What a comparison on images shows: tables, charts, a page."""
