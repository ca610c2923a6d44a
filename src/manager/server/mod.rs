//! The server: one loop that owns all objects.
