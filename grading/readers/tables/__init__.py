"""Tables that hostile files hold: arrays, lists, and what their columns are."""
