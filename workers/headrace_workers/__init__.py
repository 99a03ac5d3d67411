"""What runs inside Headrace's pods: data, training, tuning and serving, on Ray."""
