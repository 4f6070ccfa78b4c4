"""What to do about an error of the library, in the words of a terminal.

Used wherever the command line shows an error. It promises remedies that name options and settings. The library's own
remedies are for programs: some name arguments and methods of Python. Only the error's data (`parameter`,
`outcome_unknown`) selects the words that replace them: the text of an error is never parsed. A remedy of the library
that fits a terminal is shown unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..config._settings import SettingError
from ..errors import BlnkAuthError, TemporarilyUnavailable
from ..token import EXPIRY_MEMBERS, REFRESH_EXPIRY_MEMBERS

_ANSWER_LOST = (
    "run the same command again; if the server then refuses the refresh token, the request whose response was lost "
    "has spent it, and only a new sign-in helps: blnk-auth login"
)

_ANOTHER_PLACE = "or name another place with --store, or as store in the profile"

_A_TIME = "write it in the file in UTC epoch seconds, or as text with its offset, such as 2026-01-31T12:00:00+00:00"

_BY_PARAMETER: Mapping[str, str] = {
    **dict.fromkeys((*EXPIRY_MEMBERS, *REFRESH_EXPIRY_MEMBERS, "created_at", "obtained_at"), _A_TIME),
    "backend": f"unlock the keyring, or sign in to a desktop session, {_ANOTHER_PLACE}",
    "cert": "set cert to a PEM file with the certificate, cert_key to the file of its key if that is another, and "
    "cert_password if the key has one",
    "check_permissions": "make it private to this user (chmod 700 a directory, 600 a file) if no one else has read it; "
    f"accept it unchanged by ?check_permissions=false at the end of the URL; {_ANOTHER_PLACE}",
    "client_secret": "set client_secret to the secret that the provider gave your application, without a line break at "
    'its end, as ${VARIABLE} or keyring:service/name; a public client sets client_auth to "none"',
    "device_authorization_endpoint": "leave --device out, or use --paste where no browser can reach this machine",
    "for_itself": "leave --itself out, or have the operator of the server offer client_credentials to this client",
    "grant_id": "name it with --parameter grant_id=..., as login shows it; leave it out to create a grant",
    "grant_management_action": "name create, merge or replace with --parameter grant_management_action=...",
    "issued_at": "add created_at to the file, when the token arrived, in UTC epoch seconds; 0 has the token renewed "
    "when it is first used",
    "port": "name another port that the provider accepts with --port, or use --paste, which opens none",
    "private_key": "set private_key to a file with the unencrypted key, as PEM or JWK",
    "record": "restore it from a backup, or delete it with blnk-auth logout --forget, and sign in again; other records "
    "are not affected",
    "revocation_endpoint": "delete the tokens here with: blnk-auth logout --forget",
    "schema": "create or update the tables with: blnk-auth store migrate URL",
    "scope": "name scopes that the client may have with --scope, or as scope in the profile; --itself may need other "
    "scopes than a sign-in does",
    "stored": "name the file that the library of --from has written, as it is",
    "subject": "name the user with --subject, or as subject in the profile",
    "verify": "check the host name, or set verify to a PEM file with the certificate authorities to trust",
    "username": "set username to the e-banking user; {subject} is replaced by the subject",
}


def remedy_of(error: BlnkAuthError) -> str | None:
    """What to do about an error; None where nothing can be advised."""
    if isinstance(error, TemporarilyUnavailable) and error.outcome_unknown:
        return _ANSWER_LOST
    if isinstance(error, SettingError):
        return error.remedy
    return _BY_PARAMETER.get(error.parameter or "", error.remedy)


def message_of(error: BlnkAuthError) -> str:
    """What is wrong and what to do, in one line."""
    remedy = remedy_of(error)
    return error.problem if remedy is None else f"{error.problem}; {remedy}"
