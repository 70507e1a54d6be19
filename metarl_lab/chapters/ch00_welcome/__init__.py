"""Chapter 00, Welcome: you against the agent; how to use the workbook; is my GPU seen?."""
