"""Work that several processes share: who they are, batches, and a model that answers, whole in each or a part in each."""
