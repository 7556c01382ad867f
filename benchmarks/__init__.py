"""What Coalmine must achieve, measured."""
