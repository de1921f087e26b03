package domino
