"""How the pipeline is deployed: container images, the server stack, work pools."""
