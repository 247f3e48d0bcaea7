"""The settings of a small shop; those that paycore has are in paycore.toml."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]

SECRET_KEY = os.environ["SHOP_SECRET"]
DEBUG = os.environ.get("SHOP_DEBUG") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]  # the names of your domain
PAYCORE_CONFIG = Path("paycore.toml").absolute()

INSTALLED_APPS = ["shop"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path("shop.db").absolute()}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
