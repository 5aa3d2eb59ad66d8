e.created_at >= $0
