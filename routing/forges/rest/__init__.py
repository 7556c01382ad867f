"""What GitHub and Gitea do alike over HTTP."""
