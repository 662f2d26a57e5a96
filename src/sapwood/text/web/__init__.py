"""Reading the web politely: `robots`, `visitor` (pace, conditional requests), `kept` (pages between runs), `pages`, `sitemaps`."""
