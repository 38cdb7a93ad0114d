"""F2: projects, roles, the policy, applications and the committee."""
