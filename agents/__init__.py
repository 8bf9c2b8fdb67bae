"""The workflow: plan, draft, spot, caption, retrieve, choose, review, assemble. No torch, no faiss."""
