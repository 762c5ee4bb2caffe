"""One secret and one parameter, with boto3."""


def handler(event, context):
    import boto3

    secret = boto3.client("secretsmanager").get_secret_value(SecretId="bench/secret")["SecretString"]
    parameter = boto3.client("ssm").get_parameter(Name="/bench/parameter", WithDecryption=True)["Parameter"]["Value"]
    return [secret, parameter]
