"""Where drafts come from, and whether they pay: what speculation is made of."""
