"""Linear, by its GraphQL API: https://linear.app/developers/graphql. Texts are markdown there."""
