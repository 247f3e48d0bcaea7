"""The shop's addresses."""

from django.urls import path

from shop import views

urlpatterns = [
    path("", views.front),
    path("orders/<str:reference>/buy", views.buy, name="buy"),
    path("orders/<str:reference>", views.order, name="order"),
    path("orders/<str:reference>/back", views.back, name="back"),
    path("notifications/<str:account>", views.notified),
]
