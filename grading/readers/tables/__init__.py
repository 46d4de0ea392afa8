"""Tables that hostile files hold: text, arrays, and what their columns are."""
