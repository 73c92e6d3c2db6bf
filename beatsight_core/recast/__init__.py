"""A manifest's sessions played again on other kits."""
