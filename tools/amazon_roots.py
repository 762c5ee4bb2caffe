"""Write amazon_roots.pem from a public bundle of CA certificates; with --check, only compare."""

from __future__ import annotations

import hashlib
import re
import ssl
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src" / "lambdakit" / "_aws" / "amazon_roots.pem"
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?\n-----END CERTIFICATE-----\n", re.DOTALL)

# SHA-256 of the certificates, as https://www.amazontrust.com/repository/ has them. What is in the bundle under the same
# name but with another fingerprint is not taken.
ROOTS = {
    "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e": "Amazon Root CA 1",
    "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4": "Amazon Root CA 2",
    "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4": "Amazon Root CA 3",
    "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092": "Amazon Root CA 4",
    "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5": "Starfield Services Root CA - G2",
}


def roots(bundle: str) -> str:
    """The five certificates of `bundle`, in the order above, each under its name."""
    found: dict[str, str] = {}
    for pem in CERTIFICATE.findall(bundle):
        found[hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()] = pem
    missing = [name for fingerprint, name in ROOTS.items() if fingerprint not in found]
    if missing:
        message = f"not in the bundle: {', '.join(missing)}"
        raise SystemExit(message)
    return "".join(f"# {name}\n{found[fingerprint]}" for fingerprint, name in ROOTS.items())


def main(arguments: list[str]) -> int:
    """Write the file, or compare it: 1 if it is not what the bundle has."""
    check = "--check" in arguments
    bundles = [argument for argument in arguments if argument != "--check"]
    if not bundles:
        import certifi  # the usual bundle; any other is named on the command line

        bundles = [certifi.where()]
    text = roots(Path(bundles[0]).read_text(encoding="utf-8"))
    if check:
        return int(TARGET.read_text(encoding="utf-8") != text)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
