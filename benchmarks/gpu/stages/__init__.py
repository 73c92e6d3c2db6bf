"""The stages of the script: one file for each thing that a GPU does with this project."""
