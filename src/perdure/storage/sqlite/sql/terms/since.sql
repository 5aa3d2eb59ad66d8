e.created_at >= ?
