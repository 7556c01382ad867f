"""Pure decisions and the store on fakeredis."""
