"""The commands on a Kubernetes cluster: objects are the API server's, and an operator does the work.

What is shown is made by the same code as in local mode. Nothing here knows the state folder.
"""
