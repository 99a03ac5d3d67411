"""What a stream tells at once: `raising` finds the records that are beyond a bound, `webhooks` posts them."""
