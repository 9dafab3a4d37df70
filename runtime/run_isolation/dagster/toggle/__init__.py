"""The toggle "Isolate run environment" in Dagster's own page.

Three small things: modules of script in the page (``page/``), which tell the webserver which of
its launches ask not to be isolated; what the script asks the webserver (``endpoints``); and the
index page with one script more (``pages``). The coordinator decides all the same: a page that is
forged or out of date changes nothing.
"""
