"""What this project rests on: facts about the CLI, each shown with the real binary."""
