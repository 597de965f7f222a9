"""The account pages, a module for each subject."""
