"""One secret and one parameter, with lambdakit."""


def handler(event, context):
    import lambdakit

    return [lambdakit.get_secret("bench/secret"), lambdakit.get_parameter("/bench/parameter")]
