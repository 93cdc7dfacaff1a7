"""How a server is reached and who we are there: addresses, proxies, certificates, tokens, kubeconfig files.

`cloud` and `schedulers` both talk to a Kubernetes API and may not import each other: what they share stands below.
"""
