"""What a model said about an issue's body, remembered in Redis for a while, so that it is paid for once."""

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store


class MetadataStore(Store):
    """Answers by the hash of model and body. A failure is never written here: the model is asked again."""

    def read(self, digest: str) -> str | None:
        """Return the remembered answer; None when there is none."""
        with redis_errors("reading what a model said about an issue"):
            answer = self.redis.get(self.keys.model_answer(digest))
        return None if answer is None else str(answer)

    def write(self, digest: str, answer: str, *, keep_seconds: int) -> None:
        """Remember an answer for a while."""
        with redis_errors("remembering what a model said about an issue"):
            self.redis.set(self.keys.model_answer(digest), answer, ex=keep_seconds)
