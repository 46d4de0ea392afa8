"""How fast training, distorting and grading are, compared with other ways to do the same."""
