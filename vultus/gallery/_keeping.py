"""What a gallery answers for: erasure with a receipt, encryption, the audit log, and whether it is whole."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from vultus.errors import InputError, StoreError
from vultus.gallery import audit, check, erase, locking
from vultus.gallery._book import Book, Pages
from vultus.gallery.audit import Pin
from vultus.gallery.erase import Copies, Receipt
from vultus.gallery.stores.schema import Edit, Row, Rows, Store
from vultus.gallery.vault import Vault
from vultus.types import Identity

__all__ = ["Keeping"]


class Keeping(ABC):
    """Erasure, encryption, audit and checks of a gallery."""

    store: Store
    _key: bytes | None

    @abstractmethod
    def pages(self) -> AbstractContextManager[Pages]:
        """One consistent view."""

    @abstractmethod
    def person(self, identity_id: str) -> Identity:
        """The person of that key."""

    @abstractmethod
    def _vault(self, rows: Rows) -> Vault:
        """What opens the sealed contents of that view."""

    @abstractmethod
    def _forget(self) -> None:
        """Drop what is held in memory."""

    @abstractmethod
    def _copies(self) -> Sequence[Copies]:
        """Files beside the store that hold vectors."""

    # -- erasure -------------------------------------------------------------------------------------------------

    def erase(self, identity_id: str, *, actor: str = "local") -> Receipt:
        """Remove a person with everything that was kept of them, look whether anything is left, and say so.

        Rows, history, key, index entries and bytes in files; see `vultus.gallery.erase`.

        Raises:
            InputError: if there is no person of that key.
            StoreError: if the rows are gone but bytes are not yet; the next opening of the gallery tries again.
        """
        with self.pages() as pages:
            pages.person_row(identity_id)
            vault = pages.vault
        self._forget()
        return erase.erase(self.store, vault, identity_id, actor=actor, copies=self._copies())

    def remove(self, identity_id: str, *, actor: str = "local") -> None:
        """`erase` without the receipt."""
        self.erase(identity_id, actor=actor)

    def remove_face(self, face_id: str, *, actor: str = "local") -> Receipt:
        """Erase one face with its vector and crop; its person's reference is fused from the others.

        Raises:
            InputError: if there is no such face, or it is its person's only one.
        """
        with self.pages() as pages:
            face = pages.face(face_id)
            if face.person_id and len(pages.faces_of(face.person_id)) == 1:
                name = pages.person_row(face.person_id)["name"]
                raise InputError(f"{name!r} would be left without a photo: remove the person instead")
        return self.remove_faces([face_id], actor=actor)

    def remove_photo(self, identity_id: str, medium: str, *, actor: str = "local") -> Identity:
        """Take a photo away from a person for good and fuse the others again.

        Raises:
            InputError: if the person has no such photo, or no other.
        """
        with self.pages() as pages:
            name = pages.person_row(identity_id)["name"]
            every = pages.faces_of(identity_id)
        mine = [face.id for face in every if face.medium == medium]
        if not mine:
            raise InputError(f"medium: expected a photo of {name!r}, got {medium!r}")
        if len(mine) == len(every):
            raise InputError(f"medium: {medium!r} is the only photo of {name!r}: remove the person instead")
        self.remove_faces(mine, actor=actor)
        return self.person(identity_id)

    def remove_faces(self, face_ids: Sequence[str], *, actor: str = "local") -> Receipt:
        """Erase faces of one person, or of nobody, with vectors and crops; the reference is fused from the others.

        Raises:
            InputError: if there is no such face, they are of several people, or the person would have none left.
        """
        with self.pages() as pages:
            vault = pages.vault

        def fuse(edit: Edit, person_id: str) -> None:
            book = Book(edit, vault, actor)
            book.touch(person_id)
            book.settle()

        self._forget()
        return erase.remove_faces(self.store, vault, face_ids, actor=actor, fuse=fuse, copies=self._copies())

    def _finish(self) -> None:
        """Do the rest of an erasure that was interrupted; called once, at the first use of the gallery."""
        with self.store.read() as rows:
            if not erase.pending(rows):
                return
            vault = self._vault(rows)
        try:
            erase.finish(self.store, vault, copies=self._copies())
        except StoreError as error:
            warnings.warn(f"an erasure is not finished, bytes may still be in the files: {error}", stacklevel=4)

    # -- encryption ----------------------------------------------------------------------------------------------

    @property
    def encrypted(self) -> bool:
        """Whether vectors and crops are sealed; see `vultus.gallery.vault`."""
        with self.pages() as pages:
            return pages.vault.encrypted

    def encrypt(self, key: bytes, *, actor: str = "local") -> dict[str, int]:
        """Seal everything under keys of the people's own, and those under `key`; how many rows and keys, by table.

        Raises:
            Refused: if it is encrypted already.
            MissingExtra: if `cryptography` is not installed.
            StoreError: if all is sealed, but plain bytes are still in the files.
        """
        done = locking.encrypt(self.store, key, actor=actor)
        self._key = key
        self._forget()
        for copies in self._copies():
            copies.drop()
        locking.sweep(self.store, done)
        return done.rows

    def rotate_key(self, key: bytes, *, actor: str = "local") -> int:
        """Give an encrypted gallery another key; how many people's keys were wrapped anew.

        Raises:
            Refused: if the gallery is not encrypted.
        """
        with self.pages() as pages:
            old = self._key if pages.vault.encrypted else None
        done = locking.rotate(self.store, old or bytes(32), key, actor=actor)
        self._key = key
        locking.sweep(self.store, done)
        return done.rows["keys"]

    # -- the log, and whether all is whole -----------------------------------------------------------------------

    def audit(self, after: int = 0, limit: int = 100) -> list[Row]:
        """Rows of the audit log after that number, oldest first."""
        with self.pages() as pages:
            return audit.page(pages.rows, after, limit)

    def verify_audit(self, pinned: Pin | None = None) -> list[str]:
        """Everything wrong with the audit log, in words; empty when nothing is."""
        with self.pages() as pages:
            return audit.verify(pages.rows, mac=pages.vault.mac, pinned=pinned)

    def damage(self) -> list[str]:
        """Everything wrong: the store's own check, checksums, references that their faces do not give, the log."""
        found = self.store.damage()
        with self.pages() as pages:
            return found + check.faults(pages.rows, pages.vault)
