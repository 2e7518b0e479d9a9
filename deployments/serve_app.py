"""The HTTP service for Ray Serve.

    export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=…      # on every node: without it whoever reaches Ray runs code
    export FACEFX_TOKEN=$(python -c 'import secrets; print(secrets.token_urlsafe())')
    serve run deployments.serve_app:app              # or: serve deploy deployments/serve.yaml

Settings come from the environment: see facefx.cluster.http_settings.settings_from and serve_app.make_app.
"""

from facefx.cluster.serve_app import make_app

app = make_app()
