"""What is asked of Linear: documents of GraphQL with constant text; all that varies is a variable."""

_ISSUE = """
fragment IssueParts on Issue {
  id identifier title description url updatedAt trashed
  state { id name type }
  labels(first: 50) { nodes { id name } }
  assignee { id } creator { id } project { name }
}"""

VIEWER = "query Viewer { viewer { id } }"

TEAM = """query Team($key: String!) {
  teams(filter: { key: { eq: $key } }, first: 1) { nodes { id key } }
}"""

STATES = """query States($key: String!) {
  workflowStates(filter: { team: { key: { eq: $key } } }, first: 100) { nodes { id name type position } }
}"""

USER = "query Member($id: String!) { user(id: $id) { id active guest } }"

ISSUES = f"""query Issues($filter: IssueFilter!, $first: Int!, $after: String) {{
  issues(filter: $filter, first: $first, after: $after, orderBy: createdAt) {{
    nodes {{ ...IssueParts }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}{_ISSUE}"""

ISSUE = f"query OneIssue($id: String!) {{ issue(id: $id) {{ ...IssueParts }} }}{_ISSUE}"

COMMENTS = """query Comments($id: String!, $first: Int!, $after: String) {
  issue(id: $id) {
    page: comments(first: $first, after: $after, orderBy: createdAt) {
      nodes { id body createdAt user { id } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""

HISTORY = """query History($id: String!, $first: Int!, $after: String) {
  issue(id: $id) {
    page: history(first: $first, after: $after) {
      nodes { createdAt actor { id } addedLabels { name } toAssignee { id } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""

BLOCKERS = """query Blockers($id: String!, $first: Int!, $after: String) {
  issue(id: $id) {
    page: inverseRelations(first: $first, after: $after) {
      nodes { type issue { identifier } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""

COMMENT = "query OneComment($id: String!) { comment(id: $id) { id body createdAt user { id } } }"

LABELS = """query Labels($name: String!) {
  issueLabels(filter: { name: { eqIgnoreCase: $name } }, first: 50) { nodes { id name team { key } } }
}"""

MAKE_LABEL = """mutation MakeLabel($input: IssueLabelCreateInput!) {
  done: issueLabelCreate(input: $input) { success issueLabel { id } }
}"""

ADD_LABEL = """mutation AddLabel($id: String!, $label: String!) {
  done: issueAddLabel(id: $id, labelId: $label) { success }
}"""

REMOVE_LABEL = """mutation RemoveLabel($id: String!, $label: String!) {
  done: issueRemoveLabel(id: $id, labelId: $label) { success }
}"""

CHANGE = """mutation ChangeIssue($id: String!, $input: IssueUpdateInput!) {
  done: issueUpdate(id: $id, input: $input) { success }
}"""

WRITE_COMMENT = """mutation WriteComment($input: CommentCreateInput!) {
  done: commentCreate(input: $input) { success comment { id body createdAt user { id } } }
}"""

EDIT_COMMENT = """mutation EditComment($id: String!, $input: CommentUpdateInput!) {
  done: commentUpdate(id: $id, input: $input) { success comment { id body createdAt user { id } } }
}"""

ATTACH = """mutation Attach($input: AttachmentCreateInput!) {
  done: attachmentCreate(input: $input) { success }
}"""
