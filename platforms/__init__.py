"""What makes other people's machines grade: Gradescope's and GitHub's."""
