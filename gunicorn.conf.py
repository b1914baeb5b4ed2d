"""How `gunicorn myaccount` serves; its command line overrides what is said here."""

bind = "127.0.0.1:8080"
worker_class = "aiohttp.GunicornWebWorker"

# gunicorn would open one control socket for all its instances of a user, this one's and any other's.
control_socket_disable = True
