"""One side of a conversation with a hub: signs what goes, verifies what comes."""

from typing import TypeVar

from pydantic import ValidationError

from albufera.federation.messages import Kind, Wire, check_payload, compose, first_complaint
from albufera.federation.model import BAD_MESSAGE, BAD_SIGNATURE
from albufera.federation.ports import Peer
from albufera.kernel import clock
from albufera.kernel.signing import (
    SignatureError,
    SigningKey,
    VerifyKey,
    sign_message,
    verify_message,
)

W = TypeVar("W", bound=Wire)


class Conversation:
    """Talks with the hub whose key is pinned; nobody else's answer is believed."""

    def __init__(self, peer: Peer, key: SigningKey, hub: VerifyKey) -> None:
        self._peer = peer
        self._key = key
        self._hub = hub

    def say(self, kind: Kind, body: Wire, answer: type[W]) -> W:
        """Send a message and return the hub's answer to this very message.

        Raises the hub's refusal, `hub-unreachable`, or, when the answer is not the hub's, not for
        us, not to this message or not fresh, what says so.
        """
        nonce = clock.random_token(16)
        payload = compose(kind, self._hub.fingerprint, body)
        received = self._peer.send(kind, sign_message(payload, self._key, clock.now(), nonce))
        try:
            message = verify_message(received, [self._hub])
        except SignatureError as problem:
            raise BAD_SIGNATURE(
                f"The answer is not signed by the hub that was joined. {problem}"
            ) from None
        own = self._key.verify_key.fingerprint
        content = check_payload(message, kind, own, clock.now(), re=nonce)
        try:
            return answer.model_validate(content)
        except ValidationError as failure:
            raise BAD_MESSAGE(f"The hub's answer: {first_complaint(failure)}") from None
