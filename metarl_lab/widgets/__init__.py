"""Interactive figures for the notebooks: ipywidgets over evaluate and plots, imported by notebooks only."""
